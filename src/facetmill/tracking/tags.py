"""The tags by which runs, packages and versions are found again in MLflow. Scripts rely on these names too."""

KIND = "facetmill.kind"  # training | trial | sweep | candidate | reproduction | study | study_row
MODEL = "facetmill.model"  # model key
CATALOGUE = "facetmill.catalogue"  # of a run, a version and a registered model; without it, older than there were any
DATASET = "facetmill.dataset"  # its name
DATASET_VERSION = "facetmill.dataset_version"
TRAINING = "facetmill.training"  # hash of all that decides a training's result
METRIC = "facetmill.metric"  # that decides; runs and versions without it are older than there was a choice: value_f1
STUDY = "facetmill.study"  # name of the sweep that the hyper-parameters come from; of a study, its own name
TABLE = "facetmill.table"  # of a study: hash of its table
REPRODUCTION_OF = "facetmill.reproduction_of"  # run id
GIT_DIRTY = "facetmill.git_dirty"  # "true" where the working tree differed from the commit

RUN = "facetmill.run"  # of a version: the run that made it
DICTIONARY_RUN = "facetmill.dictionary_run"  # of a version: the run of the dictionary that it is judged beside
SEED_RUNS = "facetmill.seed_runs"  # of a candidate: the runs of its training, one a seed, with commas between
VERDICT = "facetmill.verdict"  # of a candidate: accepted | rejected, as the gates last said
PACKAGE_SHA256 = "facetmill.package_sha256"

#: Of an open run: the process that owns it, by which a crash is told later.
PROCESS = ("facetmill.host", "facetmill.pid", "facetmill.process_created")
