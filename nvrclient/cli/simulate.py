"""``nvrclient simulate``: a recorder to try things on."""

from __future__ import annotations

import json
import shlex
from typing import Annotated

import typer

from nvrclient.cli.exits import CONNECTION, USAGE, fail, run, until_told
from nvrclient.simulator import SimulatedRecorder


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    cameras: Annotated[int, typer.Option(min=1, max=16, help="How many cameras.")] = 4,
    tls: Annotated[
        bool, typer.Option("--tls", help="HTTPS, with a certificate made for it.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say where it is as one JSON object.")
    ] = False,
) -> None:
    """Run a simulated recorder until Ctrl-C: real encoded video and audio, over HTTP and UDP."""
    recorder = SimulatedRecorder(host=host, port=port, cameras=cameras, tls=tls)

    async def command() -> None:
        try:
            await recorder.start()
            with until_told() as told:
                typer.echo(_json(recorder) if as_json else _description(recorder))
                await told.wait()
        except ImportError:
            fail("--tls makes a certificate: pip install 'nvrclient[simulator]'", USAGE)
        except BrokenPipeError:
            raise
        except OSError as error:
            fail(f"cannot listen on {host} port {port}: {error.strerror}; try --port", CONNECTION)
        finally:
            await recorder.aclose()

    run(command)


def _json(recorder: SimulatedRecorder) -> str:
    return json.dumps(
        {
            "url": recorder.url,
            "username": recorder.username,
            "password": recorder.password,
            "certificate": recorder.certificate,
            "cameras": {number: str(setup.video) for number, setup in recorder.cameras.items()},
        }
    )


def _description(recorder: SimulatedRecorder) -> str:
    settings = {
        "NVR_URL": recorder.url,
        "NVR_USERNAME": recorder.username,
        "NVR_PASSWORD": recorder.password,
    }
    if recorder.certificate is not None:
        settings["NVR_VERIFY"] = recorder.certificate
    shown = ", ".join(f"{number} ({setup.video})" for number, setup in recorder.cameras.items())
    lines = [
        "A simulated recorder is running; Ctrl-C ends it.",
        f"  url          {recorder.url}",
        f"  user name    {recorder.username}",
        f"  password     {recorder.password}",
        f"  cameras      {shown}",
    ]
    if recorder.certificate is not None:
        lines.append(f"  certificate  {recorder.certificate}")
    exports = [f"  export {name}={shlex.quote(value)}" for name, value in settings.items()]
    return "\n".join([*lines, "Try in another terminal:", *exports, "  nvrclient live 1"])
