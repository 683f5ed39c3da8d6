"""edgeconv serve."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO, cast

import typer

from . import signal_options as by
from .console import count, note
from .interrupt import Ending, WholeLines
from .keeper import ServiceKeeper, describe_service

if TYPE_CHECKING:
    from edgeconv.runtime.serving import Service

WAIT_S = 0.2
"""The longest wait for something to take, and so for a signal to be noticed."""
PAUSE_S = 0.02
"""When nothing comes for so long, what came is written down."""


def serve(
    model: Annotated[Path, typer.Argument(help="Model folder or ONNX file.", metavar="MODEL")],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="mqtt://HOST:1883/sensors/+/imu (mqtts:// for TLS; what + stands for is the device), tcp://HOST:PORT, "
            "tcp-listen://ADDRESS:PORT, udp://ADDRESS:PORT or serial:///dev/ttyUSB0?baud=115200.",
            metavar="ADDRESS",
        ),
    ],
    sink: Annotated[
        str,
        typer.Option(
            "--to",
            help="mqtt://HOST:1883/edgeconv/{device}/prediction, or - for JSON lines on stdout.",
            metavar="ADDRESS",
        ),
    ] = "-",
    payload: Annotated[
        Literal["text", "float32"],
        typer.Option(help="text: JSON or CSV; float32: packed values, little-endian, sample after sample."),
    ] = "text",
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, cuda,tf32,graph or auto; never another one than asked for.")
    ] = "cpu",
    hop: Annotated[int | None, typer.Option(help="Timesteps between predictions; by default the model's.")] = None,
    precision: Annotated[
        Literal["float32", "int8"], typer.Option(help="Which of a folder's files answer; int8 on the processor only.")
    ] = "float32",
    idle: Annotated[
        float, typer.Option(help="Seconds after which a silent device is forgotten; it begins anew when it comes.")
    ] = 300.0,
    shard: Annotated[
        str | None,
        typer.Option(help="2/5: take the devices that fall to the second of five processes.", metavar="NUMBER/COUNT"),
    ] = None,
    client_id: Annotated[
        str | None,
        typer.Option(help="What the broker keeps the session under; by default of model, topic and shard."),
    ] = None,
    report: Annotated[float, typer.Option(help="Seconds between two lines of statistics on stderr.")] = 60.0,
    signal: by.SignalOption = None,
    map_: by.MapOption = None,
    unit: by.UnitOption = None,
    time_column: by.TimeColumnOption = None,
    rate: by.RateOption = None,
    max_gap: by.MaxGapOption = None,
    missing_values: by.MissingOption = None,
    allow_implausible: by.AllowImplausibleOption = False,
    smooth: by.SmoothOption = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Where to write down what all streams hold, so that kill -9 loses no window.", metavar="FILE"
        ),
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(min=0.0, help="Most seconds between two times, while messages come without a pause.")
    ] = 1.0,
) -> None:
    """Classify what many devices send, live: one stream each, one prediction per window.

    A message is acknowledged when the predictions of all windows that it completes have arrived. Columns are matched to
    the model's channels by name, and by position where nothing names them; others are ignored. For other names, units
    or rates see docs/signal.md. A device whose signal cannot be what the model was trained on gets no answers. SIGTERM
    ends after what is due, with exit code 0. User and password of a broker may be in EDGECONV_MQTT_USER and
    EDGECONV_MQTT_PASSWORD. With --checkpoint the same command goes on after kill -9, to the very sample:
    docs/checkpoints.md.

    Example: edgeconv serve models/har_raw --from mqtt://localhost/sensors/+/imu --to mqtt://localhost
    """
    from edgeconv.runtime import Classifier, Smoothing, UsageError
    from edgeconv.runtime.checkpoint import Checkpoint
    from edgeconv.runtime.device_stream import Contract
    from edgeconv.runtime.serving import Service
    from edgeconv.runtime.shards import Shard
    from edgeconv.runtime.sinks import open_served
    from edgeconv.runtime.sources.live import open_live
    from edgeconv.runtime.sources.messages import Decoder
    from edgeconv.runtime.sources.mqtt_client import public, session_name

    if checkpoint is not None and not source.startswith(("mqtt://", "mqtts://")):
        raise UsageError(f"{source}: nobody keeps what comes while this does not run; --checkpoint is for MQTT")
    mine = Shard.parse(shard) if shard else None
    smoothing = None if smooth is None else Smoothing.parse(smooth)
    classifier = Classifier.load(model, device, precision=precision)
    spec = classifier.spec
    told = by.SignalOptions(signal, map_, unit, time_column, rate, max_gap, missing_values).read()
    contract = Contract(spec, told, "mark" if allow_implausible else "refuse")
    name = client_id or session_name(spec.name, source, f"-{mine.index + 1}of{mine.count}" if mine else "")
    takes = mine.takes if mine else None
    asked = {"from": public(source), "payload": payload, "shard": str(mine or ""), "precision": precision}
    asked |= {"signal": told.to_toml() if told else "", "allow-implausible": str(allow_implausible)}
    asked |= {"smooth": str(smoothing or "")}
    of = describe_service(model, classifier, hop or spec.hop, {**asked, "client-id": name}) if checkpoint else {}
    kept = Checkpoint.read(checkpoint) if checkpoint else None
    if kept is not None and checkpoint is not None:
        kept.require(of, checkpoint)
    with Ending(until="what is due is published") as ending, WholeLines(sys.stdout) as out:
        kind: Literal["prediction", "event"] = "prediction" if smoothing is None else "event"
        into = open_served(sink, cast("TextIO", out), of=kind, source=source, client_id=f"{name}-out", say=note)
        try:
            taken_from = open_live(source, Decoder(contract.columns, payload), client_id=name, takes=takes, say=note)
            try:
                service = Service(
                    classifier,
                    taken_from,
                    into,
                    contract=contract,
                    hop=hop,
                    smoothing=smoothing,
                    idle_s=idle,
                    say=note,
                )
                ending.then = service.stop
                keeper = ServiceKeeper(checkpoint, of, service, checkpoint_every) if checkpoint else None
                if kept is not None:
                    service.restore(dict(kept.state))
                    note(f"{checkpoint}: {count(len(service.devices), 'device')} go on")
                which = f", shard {mine}" if mine else ""
                note(
                    f"{spec.name} version {spec.version} on {classifier.device}, hop {service.pool.hop}{which}: serving"
                )
                _run(service, ending, report, keeper)
            finally:
                taken_from.close()
        finally:
            into.close()
        ending.check()


def _run(service: Service, ending: Ending, report_s: float, keeper: ServiceKeeper | None) -> None:
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    reported_s = began_s

    def say() -> None:
        seconds, processor_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
        note(f"{describe(service)} in {seconds:.1f} s, {processor_s:.1f} s of processor time")

    try:
        while not (ending.wanted or service.source.ended):
            if keeper is None:
                service.step(WAIT_S)
            else:
                # The broker sends only so much ahead of acknowledgements, and these wait for a pause.
                service.step(PAUSE_S if keeper.pending else WAIT_S, keeper.keep)
            if time.monotonic() - reported_s >= report_s:
                reported_s = time.monotonic()
                say()
        if keeper is None:
            service.finish()
        else:
            keeper.write()
            service.source.acknowledge()
    finally:
        say()


def describe(service: Service) -> str:
    """Return in words what a service has done so far."""
    tally = service.tally
    words = [
        count(len(service.devices), "device"),
        count(tally.arrivals, "message"),
        count(tally.samples, "sample"),
        count(tally.windows, "window"),
        *([count(tally.events, "event")] if tally.events else []),
    ]
    if tally.losses:
        worst = ", ".join(f"{name}: {number}" for name, number in tally.losses.most_common(3))
        more = f" and {len(tally.losses) - 3} more" if len(tally.losses) > 3 else ""
        words.append(f"{tally.losses.total()} lost or refused ({worst}{more})")
    if tally.dropped:
        words.append(f"{tally.dropped} idle and forgotten")
    reconnects = getattr(service.source, "reconnects", 0)
    if reconnects:
        words.append(count(reconnects, "reconnect"))
    return ", ".join(words)
