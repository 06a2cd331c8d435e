"""The errors a caller branches on; everything else is a bug and propagates as it is."""


class FacetmillError(Exception):
    """Base of every error whose message alone tells a user what to mend."""


class ParamsError(FacetmillError):
    """A key of params.yaml is unknown, missing, or has a value out of range."""


class DataError(FacetmillError):
    """Input data is not as its format says; the message names file, row, field and value."""


class GateFailed(FacetmillError):
    """A gate said no: the dataset may not be trained on, or the model may not be promoted."""


class PlatformError(FacetmillError):
    """A part around the models (server, store, registry entry) is missing or not answering."""


class Busy(PlatformError):
    """Another process is at work there; the message says which, and since when."""


class Outdated(PlatformError):
    """A candidate was judged against a champion that is not live any more."""


class NoAnswer(PlatformError):
    """A packaged model does not load, dies, takes too long, or what it answers is not an answer."""
