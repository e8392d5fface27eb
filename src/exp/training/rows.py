"""The rows of a run: its dataset loaded and divided, in memory or in mapped files."""

from collections.abc import Callable

from exp.config.allowlist import without_own_keys
from exp.config.cross_validation import refuse_all_folds
from exp.config.instantiate import instantiate
from exp.config.schema import Config
from exp.data.dataset import Dataset, as_dataset
from exp.data.folds import Fold
from exp.data.input_files import FILE_DATASETS
from exp.data.mapped.cache import cache_folder
from exp.data.mapped.open import open_splits
from exp.data.mapped.scratch import Scratch
from exp.data.mapped.write import Choices
from exp.data.memory import FeaturesTooLargeError
from exp.data.prepare import prepare
from exp.data.seeding import seed_everything
from exp.data.shipped import load_shipped
from exp.data.splits import Splits
from exp.data.storage import Storage, choose_storage, has_held_rows, list_files
from exp.training.build_model import codes_above
from exp.training.reuse import JobCache


def load_splits(config: Config, cache: JobCache, on_progress: Callable[[int], None] = lambda _: None) -> Splits:
    """Return the splits of the run, on the CPU.

    Args:
        on_progress: Called with the percentage that is done while rows are prepared in mapped files.

    Raises:
        ConfigError, DataError: The dataset cannot be loaded or divided, or does not fit into memory.
    """
    storage = choose_storage(config.dataset)
    choices = _choices_of(config)
    if not storage.is_mapped:
        dataset = cache.reuse_dataset(config.dataset, lambda: _load(config, None))
        try:
            return cache.reuse_splits(config, choices, dataset, lambda: prepare(dataset, **vars(choices)))
        except FeaturesTooLargeError as error:
            if config.dataset.get("storage", "auto") == "memory" or has_held_rows(config.dataset):
                raise
            storage = Storage(is_mapped=True, note=f"rows in mapped files (dataset.storage=mapped): {error.problem}")
        del dataset
    node = without_own_keys("dataset", config.dataset)  # these are in the choices, or do not change the rows
    files = list_files(config.dataset)
    data = open_splits(node, choices, files, lambda scratch: _load(config, scratch), on_progress)
    return data if storage.note is None else data.with_note(storage.note)


def load_dataset(config: Config) -> Dataset:
    """Return the rows of the run's dataset, with random streams seeded before. DataError if they cannot be loaded."""
    if not choose_storage(config.dataset).is_mapped:
        return _load(config, None)
    return _load(config, Scratch(cache_folder(create=True)))


def _load(config: Config, scratch: Scratch | None) -> Dataset:
    seed_everything(config.seed)  # a dataset function may draw
    node = config.dataset
    shipped = load_shipped(**without_own_keys("dataset", node))
    if shipped is not None:
        return as_dataset(shipped, scratch)
    passed = {"scratch": scratch} if scratch is not None and node["_target_"] in FILE_DATASETS else {}
    return as_dataset(instantiate("dataset", node, **passed), scratch)


def _choices_of(config: Config) -> Choices:
    node = config.dataset
    return Choices(
        node.get("split"),
        node.get("scaler", "none"),
        split_seed(config),
        stratify_of(config),
        node.get("scale_target"),
        bool(node.get("train_on_val")),
        fold_of(config),
        codes_above(config),
    )


def split_seed(config: Config) -> int:
    """Return the seed of the split: that of the run, unless the dataset has its own."""
    seed = config.dataset.get("seed")
    return config.seed if seed is None else int(seed)


def stratify_of(config: Config) -> bool | None:
    """Return dataset.stratify; None for auto."""
    return {True: True, False: False}.get(config.dataset.get("stratify", "auto"))


def fold_of(config: Config) -> Fold | None:
    """Return the fold of a cross-validation that the run is; None for an ordinary run. ConfigError if it is all."""
    refuse_all_folds(config)
    return None if config.fold is None else Fold(config.fold, int(config.folds or 0), config.fold_repeats)
