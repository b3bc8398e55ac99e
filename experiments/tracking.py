"""What is remembered of every run: parameters, metrics, artifacts and registered passports, in one sqlite file.

The only file that knows MLflow, and it imports it inside functions (1.1 s, 187 MiB). Root folders are made absolute;
telemetry is off; there is no server. Knows nothing of training: it is handed numbers, dictionaries and folders.
"""

import json
import logging
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

CHAMPION, CHALLENGER = "champion", "challenger"
BATCH = 1_000  # MLflow's limit; so many points take 57 ms on sqlite
BUFFER = 200  # points
LONGEST_PARAM = 6_000
_ARTIFACT = "passport"  # the passport's folder inside the registered model
_MODEL_CODE = Path(__file__).with_name("served.py")


class TrackingError(ValueError):
    """A tracking store, model, version or alias that is not there or cannot be used."""


class RunTracker:
    """One run in the tracking store, and the `Metrics` sink of its trainer. Made by `open_run`.

    Points are buffered and written in batches (`flush`, or every 200 points).
    """

    def __init__(self, client: Any, run_id: str) -> None:
        self.run_id = run_id
        self._client = client
        self._points: list[Any] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take one point per name; NaN and infinity (no episode has ended yet) are left out."""
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()  # the store stamps its points by its own clock
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self._points += [Metric(name, value, now, step) for name, value in finite.items()]
        if len(self._points) >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        points, self._points = self._points, []
        for start in range(0, len(points), BATCH):
            self._client.log_batch(self.run_id, metrics=points[start : start + BATCH])

    def config(self, config: Mapping[str, Any]) -> None:
        """Log the resolved config: whole as `config.json`, and flattened as parameters.

        A resumed run keeps its parameters; one that changed raises TrackingError.
        """
        from mlflow.entities import Param

        flat = {key: str(value)[:LONGEST_PARAM] for key, value in flatten(config)}
        known = self._client.get_run(self.run_id).data.params
        changed = {key for key in flat.keys() & known.keys() if flat[key] != known[key]}
        if changed:
            key = min(changed)
            raise TrackingError(f"run {self.run_id} has {key}={known[key]}; it cannot go on with {flat[key]}")
        fresh = [Param(key, value) for key, value in flat.items() if key not in known]
        for start in range(0, len(fresh), 100):  # MLflow's limit per call
            self._client.log_batch(self.run_id, params=fresh[start : start + 100])
        self._client.log_text(self.run_id, json.dumps(config, indent=2, default=str), "config.json")

    def dataset(self, name: str, digest: str, *, source: str, context: str, rows: int) -> None:
        """Name data this run has seen, by the start of its hash (the store keeps 36 characters)."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        seen = Dataset(name, digest[:36], "local", json.dumps({"uri": source}), profile=json.dumps({"num_rows": rows}))
        inputs = [DatasetInput(seen, [InputTag("mlflow.data.context", context)])]
        self._client.log_inputs(self.run_id, inputs)

    def artifact(self, path: str | Path, folder: str = "") -> None:
        """Keep a file, or a folder's content, with the run."""
        path = Path(path)
        keep = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        keep(self.run_id, str(path), folder or None)

    def tag(self, **tags: str) -> None:
        """Set tags on the run."""
        for name, value in tags.items():
            self._client.set_tag(self.run_id, name, value)

    def close(self, status: str = "FINISHED") -> None:
        """Flush and end the run as FINISHED, FAILED or KILLED."""
        self.flush()
        self._client.set_terminated(self.run_id, status)


def open_run(
    root: str | Path, experiment: str, name: str, *, run_id: str | None = None, parent: str | None = None
) -> RunTracker:
    """Start a run in the store under `root` (made where it does not exist), or go on with `run_id`."""
    client = _client(root)
    if run_id is not None:
        with _told(f"there is no run {run_id} under {root}"):
            client.update_run(run_id, status="RUNNING")
        return RunTracker(client, run_id)
    found = client.get_experiment_by_name(experiment)
    where = (Path(root).absolute() / "artifacts" / experiment).as_uri()
    experiment_id = found.experiment_id if found else client.create_experiment(experiment, artifact_location=where)
    tags = {"mlflow.parentRunId": parent} if parent else {}
    return RunTracker(client, client.create_run(experiment_id, run_name=name, tags=tags).info.run_id)


def register_passport(
    passport: str | Path,
    *,
    root: str | Path,
    name: str,
    run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> int:
    """Register a passport folder as the next version of model `name`, and return that version.

    The whole folder is copied into the store; `mlflow.pyfunc.load_model` makes a policy of it.
    """
    passport = Path(passport)
    if not (passport / "manifest.sha256").is_file():
        raise TrackingError(f"{passport} is not a sealed passport: it has no manifest.sha256")
    client = _client(root)
    run_id = run_id or open_run(root, "registry", f"register {name}").run_id
    import mlflow

    # It tells on stderr, past every logger, that a model was registered; its errors are exceptions.
    with _quiet(), redirect_stderr(StringIO()), mlflow.start_run(run_id=run_id):
        info = mlflow.pyfunc.log_model(
            name="policy",
            python_model=str(_MODEL_CODE),
            artifacts={_ARTIFACT: str(passport)},
            registered_model_name=name,
            pip_requirements=["wavetank"],
        )
    version = int(info.registered_model_version)
    for key, value in {"manifest_sha256": _seal_of(passport), **(tags or {})}.items():
        client.set_model_version_tag(name, str(version), key, value)
    return version


def set_champion(
    name: str, version: int, *, root: str | Path, tags: Mapping[str, str] | None = None, alias: str = CHAMPION
) -> None:
    """Point the alias at `version` and set its tags; whoever held it before stays registered."""
    with _told(f"model {name} has no version {version} under {root}"):
        client = _client(root)
        tag_version(name, version, root=root, tags=tags or {})
        client.set_registered_model_alias(name, alias, str(version))


def champion_version(name: str, *, root: str | Path, alias: str = CHAMPION) -> int | None:
    """The version that holds the alias, or None."""
    from mlflow.exceptions import MlflowException

    if not (Path(root) / "mlflow.db").is_file():
        return None
    try:
        return int(_client(root).get_model_version_by_alias(name, alias).version)
    except MlflowException:
        return None


def download_champion(name: str, *, root: str | Path, folder: str | Path, alias: str = CHAMPION) -> Path:
    """Copy the champion's passport to `folder`, which must not exist yet, whole or not at all; return its path."""
    folder = Path(folder)
    if folder.exists():
        raise TrackingError(f"{folder} already exists")
    version = champion_version(name, root=root, alias=alias)
    if version is None:
        raise TrackingError(f"model {name} has no {alias} under {root}")
    _client(root)
    import mlflow

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch, _quiet():
        model = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=scratch)
        shutil.move(str(Path(model) / "artifacts" / _passport_folder(model)), folder)
    return folder


def tag_version(name: str, version: int, *, root: str | Path, tags: Mapping[str, str]) -> None:
    """Set tags on a registered version."""
    client = _client(root)
    with _told(f"model {name} has no version {version} under {root}"):
        for key, value in tags.items():
            client.set_model_version_tag(name, str(version), key, value)


def count_runs(root: str | Path, experiment: str | None = None) -> int:
    """How many runs the store holds: the trials that a deflated Sharpe ratio must count."""
    if not (Path(root) / "mlflow.db").is_file():
        return 0
    client = _client(root)
    wanted = [e.experiment_id for e in client.search_experiments() if experiment in (None, e.name)]
    count, token = 0, None
    while wanted:
        page = client.search_runs(wanted, max_results=1000, page_token=token)
        count, token = count + len(page), page.token
        if not token:
            break
    return count


def serve_passport() -> None:
    """Hand MLflow the model that acts as the passport beside it (called by `served.py`)."""
    import mlflow

    class PassportModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow ships no types
        def load_context(self, context: Any) -> None:
            from ..agents.frozen import FrozenPolicy  # registering a passport must not start onnxruntime

            self.policy = FrozenPolicy.load(context.artifacts[_ARTIFACT])

        # A bare np.ndarray is the one hint that MLflow does not take for a schema; a dictionary passes it as well.
        def predict(self, context: Any, model_input: np.ndarray) -> dict[str, Any]:
            """Observations, or {"obs", "state", "starts"}: a recurrent policy's state is kept by the caller."""
            given = model_input if isinstance(model_input, dict) else {"obs": model_input}
            decision = self.policy.act(given["obs"], given.get("state"), given.get("starts"))
            return {name: part for name, part in decision._asdict().items() if part is not None}

    mlflow.models.set_model(PassportModel())


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf of nested dictionaries.

    >>> list(flatten({"a": {"b": 1}, "c": 2}))
    [('a.b', 1), ('c', 2)]
    """
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _client(root: str | Path) -> Any:
    """A client on the store under `root`; MLflow's global address follows, because its flavours use that one."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    root = Path(root).absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrackingError(f"the tracking root {root} cannot be made: {error.strerror}") from error
    with _quiet():
        import mlflow

        address = f"sqlite:///{root}/mlflow.db"
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # else it tells of every table it makes
        mlflow.set_tracking_uri(address)
        mlflow.set_registry_uri(address)
        return mlflow.MlflowClient(address, address)


@contextmanager
def _told(sentence: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TrackingError(sentence) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow's libraries warn of each other's deprecations, and of signatures that a numpy policy does not need."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _seal_of(passport: Path) -> str:
    return (passport / "manifest.sha256").read_text().split()[0]


def _passport_folder(model: str) -> str:
    found = sorted(Path(model, "artifacts").glob("*/manifest.sha256"))
    if len(found) != 1:
        raise TrackingError(f"the model at {model} holds {len(found)} passports, not one")
    return found[0].parent.name
