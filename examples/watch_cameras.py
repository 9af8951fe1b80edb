"""Watch every camera of a recorder, and say when one is lost and when it is back: ``python watch_cameras.py``.

The recorder is named by NVR_URL, NVR_USERNAME, NVR_PASSWORD and NVR_VERIFY. Streams come back by themselves; what ends
one for good (a camera that sends nothing, a password that was changed) ends its task alone.
"""

import asyncio
import contextlib
import os
from datetime import datetime

import nvrclient
from nvrclient import Discontinuity


def say(text: str) -> None:
    print(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {text}", flush=True)


async def watch(camera: nvrclient.Camera) -> None:
    seen = False
    try:
        async with camera.live(when_full="latest") as stream:
            async for item in stream:
                match item:
                    case Discontinuity(reason="reconnect", until=None):
                        say(f"camera {camera.number} is lost")
                    case Discontinuity(reason="reconnect", since=since):
                        say(f"camera {camera.number} is back; missing since {since}")
                    case _ if not seen:
                        seen = True
                        say(f"camera {camera.number} sends {stream.format}")
    except nvrclient.NVRError as error:
        say(f"camera {camera.number}: {error}")


async def main() -> None:
    async with nvrclient.connect(
        os.environ["NVR_URL"],
        os.environ["NVR_USERNAME"],
        os.environ["NVR_PASSWORD"],
        verify=os.environ.get("NVR_VERIFY") or True,
    ) as nvr:
        async with asyncio.TaskGroup() as tasks:
            for status in await nvr.cameras():
                if status.connected:
                    tasks.create_task(watch(nvr.camera(status.number)))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
