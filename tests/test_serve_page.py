"""docs/serve.md: its code runs as it stands, its addresses are taken, and what it says of payloads and output is so."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runtime import Event, Prediction
from edgeconv.runtime.pool import AHEAD_WINDOWS
from edgeconv.runtime.serving import GRACE_S
from edgeconv.runtime.sinks.mqtt import TOPICS
from edgeconv.runtime.sinks.served import Events, Windows
from edgeconv.runtime.sources import mqtt, mqtt_client
from edgeconv.runtime.sources.live import SCHEMES
from edgeconv.runtime.sources.messages import Decoder

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


def section(title):
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_code_runs_as_it_stands(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    (tmp_path / "models").symlink_to(ROOT / "models")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_commands_have_options_that_there_are(monkeypatch, capsys):
    from edgeconv.cli import main

    (lines,) = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S)
    given = {verb: set(re.findall(rf"edgeconv {verb}[^|>\n]*?(--[a-z-]+)", lines)) for verb in ("serve", "stream")}
    given["serve"] |= set(re.findall(r"`(--[a-z-]+)", PAGE)) - {"--follow"}
    given["stream"].add("--follow")
    for verb, options in given.items():
        monkeypatch.setattr(sys, "argv", ["edgeconv", verb, "--help"])
        with pytest.raises(SystemExit):
            main()
        shown = capsys.readouterr().out
        assert options
        assert all(option in shown for option in options)


def test_every_source_is_in_the_table():
    rows = section("Where samples come from")
    assert all(f"`{scheme}" in rows for scheme in re.findall(r"[a-z-]+://", SCHEMES))


def test_the_payloads_of_the_table_are_taken():
    decoder = Decoder(("acc_x", "acc_y"))
    rows = re.findall(r"^\| `([^|`]*)` (?:or `([^|`]*)` )?\|", section("What messages and lines hold"), flags=re.M)
    payloads = [payload.replace(", …", "") for row in rows for payload in row if payload]
    assert len(payloads) == 6
    for payload in payloads:
        _, values = decoder.decode(payload.encode())
        assert values.tolist() == [[0.1, 0.2]]


def test_a_prediction_is_as_shown():
    shown, _ = re.findall(r"```json\n(.*?)```", PAGE, flags=re.S)
    window = json.loads(shown)
    probabilities = np.float32(list(window["probabilities"].values()))
    prediction = Prediction(12.8, 15.36, 0, "WALKING", float(probabilities[0]), probabilities)
    made = Windows(list(window["probabilities"])).make("phone-7", window["since_ms"], 640, prediction)
    assert list(json.loads(made)) == list(window)
    assert json.loads(made)["id"] == window["id"]


def test_an_event_is_as_shown():
    _, shown = re.findall(r"```json\n(.*?)```", PAGE, flags=re.S)
    event = json.loads(shown)
    said = Event("WALKING", 14.08, 16.64, 0.97, 17.92, 2)
    made = Events().make("phone-7", event["since_ms"], 704, said, ended=False)
    assert list(json.loads(made).items()) == list(event.items())
    assert json.loads(Events().make("phone-7", 0, 704, said, ended=True))["end_s"] == 16.64


def test_the_figures_are_those_of_the_code():
    for words in (
        f"`--to mqtt://HOST/{TOPICS['prediction']}`",
        f"`{TOPICS['event']}`",
        f"within {GRACE_S:g} s",
        f"up to {AHEAD_WINDOWS} windows ahead",
        f"beyond {mqtt.UNBOUNDED:_} messages".replace("_", " "),
        f"waits {mqtt_client.BACK_OFF_S[0]} s at first",
        f"up to {mqtt_client.BACK_OFF_S[1]} s",
        *(f"`{name}`" for name in (mqtt_client.USER, mqtt_client.PASSWORD, mqtt_client.CA)),
    ):
        assert words in PAGE.replace("\n", " "), words
    assert mqtt.SESSION_S == 24 * 3600
