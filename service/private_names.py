"""
The private names of other libraries that this service uses, overrides or replaces: one table, checked at the start.

A release of a library may change its private names without notice. The check reads the library's source and imports
nothing. So it can run before the import that would fail, and names what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "catboost": {
        "core.py": ("def _get_tree_step_nodes(", "def _get_tree_node_to_leaf(", "self._object._is_oblivious()",
                    "def _get_float_feature_indices(", "def _get_cat_feature_indices(",
                    "def _get_text_feature_indices(", "def _get_embedding_feature_indices("),
    },
    "gunicorn": {
        "arbiter.py": ("def manage_workers(", "def reap_workers(", "def murder_workers(", "SIG_QUEUE", "WORKERS = {}",
                       "num_workers = property("),  # `manage_workers` is replaced (extra_workers.py, rollouts.py)
        "config.py": ("def __getattr__(", "self.settings ="),  # attributes go before it (conf/gunicorn.py)
        "http/body.py": ("CHUNK_EXT_RE =", "class ChunkedReader:", "class LengthReader:", "self.length ="),
        "http/errors.py": ("class NoMoreData(", "class ParseException("),
        "http/message.py": ("class Request(Message):", "def parse_headers(self, data, from_trailer",
                            "_expected_100_continue", "def should_close(", "self.must_close",
                            "unreader.read()", "unreader.unread("),
        "http/wsgi.py": ("class WSGIErrorsWrapper(", "def create(", "response_class=None", "def default_headers(",
                         "def send_headers(", "def _emit_body(", "def can_sendfile(", "self.headers_sent",
                         "def base_environ(", "def start_response(", "def write(self, arg)", "def close(self):",
                         "def _make_early_hints_callback(",
                         "self.chunked",
                         '"wsgi.errors": WSGIErrorsWrapper('),  # which is replaced (gunicorn_patches.py)
        "workers/base.py": ("def init_process(", "def load_wsgi(", "def notify(", "self.PIPE =",
                            "self.alive =", "self.tmp ="),
        "workers/workertmp.py": ("def last_update(",),
    },
    "joblib": {"parallel.py": ("_backend = threading.local()", "default_parallel_config = {",
                               'getattr(_backend, "config", default_parallel_config)')},
    "narwhals": {
        "stable/v2/dependencies.py": ("def is_into_dataframe(", "def is_into_series("),
        # which are replaced (runtimes/sklearn_shortcuts.py, which does without them if they are missing)
    },
    "onnxruntime": {"capi/onnxruntime_inference_collection.py": ("self._sess =",)},
    "prometheus_client": {
        "metrics.py": ("self._name =", "self._documentation =", "self._labelnames =", "self._value =",
                       "self._sum =", "self._buckets", "self._upper_bounds ="),
        "mmap_dict.py": ("class MmapedDict", "def mmap_key(", "def read_value(", "def write_value(", "def _init_value(",
                         "def read_all_values_from_file(", "self._capacity", "self._fname =",
                         "self._m =", "self._positions =", "self._used ="),
        "multiprocess.py": ("def merge(", "def mark_process_dead("),
        "registry.py": ("self._collector_to_names",),
        "values.py": ("ValueClass = ",),  # which is replaced (monitoring/multiprocess.py)
    },
    "skl2onnx": {
        "_supported_operators.py": ("sklearn_operator_name_map = build_sklearn_operator_name_map()",),
        "common/_registration.py": ("def get_converter(", "def get_shape_calculator("),
        "common/tree_ensemble.py": ("def add_tree_to_attribute_pairs(", "nodes_missing_value_tracks_true"),
        # where it is replaced (packaging/conversion/converters.py)
        "operator_converters/decision_tree.py": ("add_tree_to_attribute_pairs(",),
        "operator_converters/gradient_boosting.py": ("add_tree_to_attribute_pairs(",),
        "operator_converters/random_forest.py": ("add_tree_to_attribute_pairs(",),
    },
    "scipy": {
        "sparse/_base.py": ("def _shape_as_2d(",),
        "sparse/_compressed.py": ("def check_format(", "self._swap(self._shape_as_2d)"),
        # where `check_format` is replaced (repository/sparse_tables.py)
    },
    "sklearn": {
        "base.py": ("def _validate_params(",),
        "cluster/_bisect_k_means.py": ("self._bisecting_tree =",),
        "cluster/_kmeans.py": ("self._n_threads =",),
        "compose/_column_transformer.py": ("_transformer_to_input_indices =",),
        "compose/_target.py": ("self._training_dim =",),
        "ensemble/_gb.py": ("def _raw_predict_init(",),
        "ensemble/_hist_gradient_boosting/gradient_boosting.py": ("self._loss =", "self._predictors =",
                                                                  "self._baseline_prediction =", "self._bin_mapper ="),
        "ensemble/_iforest.py": ("self._max_features =",),
        "ensemble/_voting.py": ("def _weights_not_none(",),
        "feature_extraction/text.py": ("class _VectorizerMixin:", "_white_spaces =", "def _count_vocab(",
                                       "def _char_ngrams(self, text_document)",
                                       "def _char_wb_ngrams(self, text_document)",
                                       "def _word_ngrams(self, tokens, stop_words=None)"),
        # which are replaced (runtimes/ngrams.py)
        "metrics/_dist_metrics.pyx.tp": ("def _validate_data(",),
        "metrics/_scorer.py": ("def _get_pos_label(",),
        "model_selection/_classification_threshold.py": ("self._curve_scorer =",),
        "neighbors/_base.py": ("self._fit_X =", "self._tree =", "self._y ="),
        "preprocessing/_data.py": ("self._scaler =",),
        "preprocessing/_encoders.py": ("self._n_features_outs =", "_drop_idx_after_grouping =",
                                       "self._infrequent_enabled =", "self._infrequent_indices =",
                                       "_default_to_infrequent_mappings ="),
        "svm/_base.py": ("self._sparse =", "_dual_coef_ =", "self._intercept_ =", "self._n_support", "self._probA",
                         "self._probB"),
        "utils/parallel.py": ("class Parallel(joblib.Parallel):", "class _FuncWrapper:", "self.function = function"),
        # methods of Parallel are replaced (runtimes/sklearn_shortcuts.py)
    },
    "skops": {
        "io/_audit.py": ("class Node:", "def audit_tree(", "def get_tree("),
        "io/_utils.py": ("def read_schema(",),
    },
}  # fmt: skip
"""For each library its files, and for each file the texts that it must contain."""

_RELEASES = {"sklearn": "scikit-learn"}
"""The name on the package index of a library, if it differs from the name of the import."""


def missing(library: str, directory: Path | None = None) -> str | None:
    """
    Find the first private name that a library lacks.

    Args:
        library: a key of `NAMES`.
        directory: the library's directory; None is the directory from which Python would import it.

    Returns:
        A sentence that names the file and the text; None if nothing is missing, or if the library is not installed.
    """
    spec = find_spec(library)
    if directory is None and spec is not None and spec.origin is not None:
        directory = Path(spec.origin).parent
    if directory is None:
        return None
    for file, texts in NAMES[library].items():
        try:
            source = (directory / file).read_text(encoding="utf-8")
        except OSError:
            return _sentence(library, f"there is no {file}")
        for text in texts:
            if text not in source:
                return _sentence(library, f"{file} has no `{text.strip()}`")
    return None


def check(*libraries: str) -> None:
    """
    Stop the program if a library lacks a private name.

    Raises:
        SystemExit: a name is missing; the message says which.
    """
    for library in libraries:
        if sentence := missing(library):
            raise SystemExit(sentence)


def _sentence(library: str, fault: str) -> str:
    name = _RELEASES.get(library, library)
    return f"{name} {version(name)} cannot be used here: {fault}. requirements.txt names the release that fits."
