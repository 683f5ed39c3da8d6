"""docs/experiments.md: its snippets are run in the order in which they stand, in a folder of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "experiments.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)


def test_every_snippet_runs_as_it_stands(tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    without = ("EDGECONV_RUNS", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")
    env = {name: value for name, value in os.environ.items() if name not in without}
    env |= {"PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    (space,) = blocks("toml")
    (tmp_path / "space.toml").write_text(space)
    said = []
    for lines in blocks("sh"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, lines + done.stderr
        assert "warning" not in done.stderr
        said.append(done.stdout)
    listed = said[2].splitlines()[1:3]
    assert [line.split()[0].partition("-")[0] for line in listed] == ["tiny", "edge"]
    assert all(" 2/2 " in line for line in listed)
    assert "95 % interval" in said[3]
    for name in ("runs.svg", "front.svg"):
        assert "<svg" in (tmp_path / name).read_text()
    assert len(list((tmp_path / "runs").glob("tiny-folds-*/fits/*/result.json"))) == 4
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name LIKE 'synthetic%'")
    assert len(client.search_runs([experiment.experiment_id])) == 2 * (1 + 2), "two runs, two fits each, sent once"
    assert (tmp_path / "other").is_dir()
