"""The files of a download: their names, what is in them, and MP4 as others read it."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import av
import pytest

from nvrclient.simulator import (
    CameraSetup,
    Clip,
    DownloadReadings,
    RecordedFile,
    Recording,
    Regroup,
    Segment,
    SimulatedRecorder,
)
from nvrclient.simulator.files import recorded_files
from nvrclient.simulator.mp4 import mp4_pieces
from nvrclient.simulator.recording import hundredths

MIDNIGHT = 1_700_006_400


def files(
    recording: Recording,
    start: float = MIDNIGHT,
    end: float = MIDNIGHT + 3600,
    kind: str = "MP4",
    **switches: object,
) -> list[RecordedFile]:
    readings = DownloadReadings(**switches)  # type: ignore[arg-type]
    now = hundredths(MIDNIGHT + 10**6)
    return recorded_files(recording, 1, hundredths(start), hundredths(end), kind, readings, now)


def names(found: list[RecordedFile]) -> list[str]:
    return [str(file.name) for file in found]


# Names


def test_names_have_the_form_of_the_example() -> None:
    recording = Recording((Segment(MIDNIGHT, "h264", "pcmu", duration=10),))
    assert names(files(recording)) == ["001_231115000000_1000_7f_00_01.mp4"]
    assert files(recording)[0].temp_name == "001_231115000000_1000_7f_00_01.tmp"
    assert [name[-4:] for name in names(files(recording, kind="N3"))] == [".n3r", ".n3a"]
    assert [name[-4:] for name in names(files(recording, kind="N3VO"))] == [".n3r"]
    assert [name[-4:] for name in names(files(recording, kind="LIST"))] == [".n3n"]


def test_splits_and_gaps_begin_another_file() -> None:
    recording = Recording(
        (
            Segment(MIDNIGHT, "h264", duration=10),
            Segment(MIDNIGHT + 30, "h264", duration=10),
        )
    )
    assert [name[:22] for name in names(files(recording, file_seconds=6))] == [
        "001_231115000000_1000_",
        "001_231115000006_2000_",
        "001_231115000030_3000_",
        "001_231115000036_4000_",
    ]
    assert [name[:22] for name in names(files(recording, one_stamp=True))] == [
        "001_231115000000_1000_",
        "001_231115000000_2000_",
    ]
    assert len(files(recording, kind="LIST", file_seconds=6)) == 2


@pytest.mark.parametrize(
    ("zone", "summer_time", "stamp"),
    [
        (timedelta(hours=9), False, "231115090000"),
        (timedelta(hours=-3, minutes=-30), False, "231114203000"),
        (timedelta(hours=1), True, "231115020000"),
    ],
)
def test_names_tell_local_time(zone: timedelta, summer_time: bool, stamp: str) -> None:
    segment = Segment(MIDNIGHT, "h264", duration=10, zone=timezone(zone), summer_time=summer_time)
    assert names(files(Recording((segment,))))[0][4:16] == stamp


@pytest.mark.parametrize(
    ("day", "stamps"),
    [
        (datetime(2023, 3, 26, tzinfo=UTC), ["01", "03", "04"]),
        (datetime(2023, 10, 29, tzinfo=UTC), ["02", "02", "03"]),
    ],
)
def test_both_changes_of_summer_time(day: datetime, stamps: list[str]) -> None:
    recording = Recording((Segment(day.timestamp(), "h264_large", duration=3 * 3600),))
    cameras = {1: CameraSetup("h264", recording=recording)}
    from nvrclient.simulator import Readings

    readings = Readings(downloads=DownloadReadings(zone=ZoneInfo("Europe/Berlin")))
    recorder = SimulatedRecorder(cameras=cameras, readings=readings)
    recorder._record()
    found = recorder.download_files(1, day, day + timedelta(hours=3))
    assert [name[10:12] for name in names(found)] == stamps


# What is in them


def test_ranges_side_by_side_leave_nothing_out_and_hold_nothing_twice() -> None:
    recording = Recording((Segment(MIDNIGHT + 0.7, "h264_large", "pcmu", duration=300),))
    bounds = range(MIDNIGHT, MIDNIGHT + 361, 60)
    parts = [files(recording, *pair, kind="N3") for pair in pairwise(bounds)]
    (whole,) = (files(recording, bounds[0], bounds[-1], "N3"),)
    for n in (0, 1):
        assert b"".join(part[n].data for part in parts if part) == whole[n].data
    assert whole[0].data == b"".join(
        picture.data for gop in recording.gops() for picture in gop.pictures
    )


def test_a_list_tells_what_is_recorded() -> None:
    recording = Recording((Segment(MIDNIGHT, "h264", duration=4),))
    (file,) = files(recording, kind="LIST")
    assert file.data == b"2023-11-15T00:00:00Z H264 30\r\n2023-11-15T00:00:02Z H264 30\r\n"


# MP4


def opened(data: bytes) -> Any:
    return av.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("clip", "audio"),
    [
        ("h264", "aac_48k_stereo"),
        ("h264_large", "pcmu"),
        ("h265", "aac_16k_mono"),
        ("h265_slices", None),
    ],
)
def test_mp4_opens_with_every_picture(clip: str, audio: str | None) -> None:
    segment = Segment(MIDNIGHT, clip, audio, duration=6)
    (file,) = files(Recording((segment,)))
    gops = list(Recording((segment,)).gops())
    pictures = [picture for gop in gops for picture in gop.pictures]
    with opened(file.data) as container:
        video = container.streams.video[0]
        assert video.frames == len(pictures)
        assert (video.width, video.height) == (Clip.load(clip).width, Clip.load(clip).height)
        assert video.codec_context.codec_tag == ("hvc1" if "h265" in clip else "avc1")
        times = [round(frame.time * 100) for frame in container.decode(video)]
    assert times == [picture.at - MIDNIGHT * 100 for picture in pictures]
    with opened(file.data) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [
            sum(len(gop.pictures) for gop in gops[:n]) for n in range(len(gops))
        ]
        with_audio = audio is not None and audio.startswith("aac")
        assert len(container.streams.audio) == int(with_audio)


def test_mp4_holds_the_sound_that_was_recorded() -> None:
    segment = Segment(MIDNIGHT, "h264", "aac_32k_stereo", duration=6)
    (file,) = files(Recording((segment,)))
    sounds = Recording((segment,)).sounds()
    expected = [piece.data for sound in sounds for piece in sound.pieces]
    with opened(file.data) as container:
        (audio,) = container.streams.audio
        assert (audio.rate, audio.channels, audio.frames) == (32000, 2, len(expected))
        packets = [packet for packet in container.demux(audio) if packet.size]
        assert [bytes(packet) for packet in packets] == expected
    with opened(file.data) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 1024 * len(expected)
    (without,) = files(Recording((segment,)), kind="MP4VO")
    with opened(without.data) as container:
        assert not container.streams.audio


def test_mp4_sound_that_begins_later_is_late() -> None:
    segment = Segment(MIDNIGHT, "h265_cra", "aac_16k_mono", duration=12)
    (file,) = files(Recording((segment,)), MIDNIGHT + 3)  # GOPs are no whole seconds long
    begins = next(
        g.begins for g in Recording((segment,)).gops() if g.begins >= 100 * MIDNIGHT + 300
    )
    with opened(file.data) as container:
        packet = next(packet for packet in container.demux(audio=0) if packet.size)
        late = -begins % 100
        assert late
        assert round(packet.pts * packet.time_base * 100) == late


def test_mp4_of_a_regrouped_recording_is_the_same() -> None:
    plain = Segment(MIDNIGHT, "h265", duration=20)
    regrouped = Segment(MIDNIGHT, "h265", duration=20, regroup=Regroup(7))
    (one,), (other,) = files(Recording((plain,))), files(Recording((regrouped,)))
    assert one.data == other.data


def test_mp4_cut_short_opens_nowhere() -> None:
    (file,) = files(Recording((Segment(MIDNIGHT, "h264", duration=6),)))
    for size in (len(file.data) // 2, len(file.data) - 1000):
        with pytest.raises(av.error.InvalidDataError):
            opened(file.data[:size])


def test_what_cannot_be_an_mp4() -> None:
    clip = Clip.video("H264", [b"\0\0\0\1\x65\x88"], 15)
    gops = Recording((Segment(MIDNIGHT, clip, duration=1),)).gops()
    with pytest.raises(ValueError, match="parameter sets"):
        list(mp4_pieces(clip, gops))
