"""Every model by its key: the file, the section in params.yaml, the search space, the run name and the test id."""

from facetmill.models.base import Model
from facetmill.models.dictionary import Dictionary
from facetmill.models.jave import Jave
from facetmill.models.m_jave import MJave

MODELS: dict[str, type[Model]] = {
    "dictionary": Dictionary,
    "jave": Jave,
    "m_jave": MJave,
}
