"""Save live video of a camera as it was encoded: ``python save_video.py 1 video.h264 --seconds 60``.

The recorder is named by NVR_URL, NVR_USERNAME, NVR_PASSWORD and NVR_VERIFY. The file holds the camera's H.264 or H.265
as an Annex B stream, which ffplay, VLC and ffmpeg read. What was lost is told; the file goes on at a key frame.
"""

import argparse
import asyncio
import contextlib
import os
from pathlib import Path

import nvrclient
from nvrclient import Discontinuity, VideoFrame


async def save(stream: nvrclient.LiveStream, path: Path) -> None:
    written = 0
    with path.open("wb") as file:
        try:
            async for item in stream:
                match item:
                    case VideoFrame():
                        # A few kilobytes into the page cache; for a slow disk: await asyncio.to_thread(file.write, …)
                        written += file.write(item.data)
                    case Discontinuity(reason=reason, since=since, until=until):
                        print(f"missing ({reason}): {since} to {until}")
        finally:
            print(
                f"{path}: {stream.codec}, {stream.stats.frames_delivered} pictures, {written} bytes"
            )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("camera", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, help="until Ctrl-C where it is not given")
    arguments = parser.parse_args()
    async with nvrclient.connect(
        os.environ["NVR_URL"],
        os.environ["NVR_USERNAME"],
        os.environ["NVR_PASSWORD"],
        verify=os.environ.get("NVR_VERIFY") or True,
    ) as nvr:
        async with nvr.camera(arguments.camera).live() as stream:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(arguments.seconds):
                    await save(stream, arguments.file)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
