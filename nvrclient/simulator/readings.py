"""The switches: how this recorder reads what the specification leaves open or what differs in the field."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nvrclient.simulator.download_readings import DownloadReadings
from nvrclient.simulator.list_readings import ListReadings
from nvrclient.simulator.playback_readings import PlaybackReadings

__all__ = ["Extension", "Framing", "HeaderCase", "Marker", "PushAnswer", "Readings"]


class Extension(Enum):
    """Which RTP packets of a video stream carry the recorder's information (audio: every one, or none)."""

    EVERY_PACKET = "every packet"
    EACH_PICTURE = "the first packet of each picture"
    KEYFRAMES = "the first packet of each key frame"
    NONE = "none"


class Framing(Enum):
    """How the endless response is framed."""

    CLOSE = "the body ends with the connection"
    CHUNKED = "chunks of 4000 bytes, wherever parts begin"
    CHUNK_PER_PART = "one chunk a part"


class HeaderCase(Enum):
    """How the header names of parts are written."""

    AS_PRINTED = "Content-type of video, Content-Type of audio, as the specification prints them"
    TITLE = "Content-Type"
    LOWER = "content-type"
    UPPER = "CONTENT-TYPE"


class Marker(Enum):
    """Where the marker bit of video stands."""

    LAST_PACKET = "the last packet of a picture"
    EVERY_NAL_UNIT = "the last packet of every NAL unit"
    MISSING = "nowhere"


class PushAnswer(Enum):
    """How a push START that breaks no rule is answered."""

    OK = "200 and the stream"
    NO_CONTENT = "204, no stream"
    BUSY = "503, no stream"
    HTML = "200 with a page of HTML, no stream"
    SILENT = "200 and the headers of a stream, then nothing"


@dataclass(frozen=True, slots=True)
class Readings:
    """One reading of every doubt about logging in, live streams and camera control; the defaults are the likeliest.

    ``playback`` holds the readings of sections 6 and 7, ``downloads`` those of section 8, ``lists`` (logs and
    disks) those of section 9.

    Logging in

    | switch | meaning |
    |---|---|
    | sha256 | the challenge's algorithm is SHA-256 instead of MD5 |
    | nonce_uses, nonce_lifetime | a nonce is stale after so many answers, or seconds |
    | lock_after | wrong credentials until the account locks; None: never |
    | uid_digits | digits of a UID, 1…19 |
    | full_is_busy | a login beyond ``max_uids`` is answered 503 instead of taking the oldest UID |
    | challenge_commands | commands with a live UID are challenged too, and the digest is accepted |
    | gone_uid_challenges | the 401 that a UID without life gets carries a challenge |
    | getinfo_missing | as_getinfo.cgi is answered 404 |
    | bare_getinfo_empty | as_getinfo.cgi shows no cameras without a UID |
    | stop_needs_internetmode | STOP over HTTP without INTERNETMODE=ON, the figure's form, is answered 400 |

    Live over HTTP

    | switch | meaning |
    |---|---|
    | boundary_with_hyphens | the declared boundary has the delimiter's two hyphens |
    | header_case | how parts' header names are written |
    | crlf_after_body | whether a CRLF ends a part's body |
    | framing | how the response itself is framed |
    | audio_in_video | audio comes as parts of the video's response |
    | audio_zero_byte | the 0x00 in front of audio |
    | g711_content_type | the name that the specification does not say |
    | jpeg_camera_chunk, jpeg_soi | the camera's chunk is there; the picture keeps its SOI after the chunks |
    | jpeg_length_counts_itself | whether the Length of a chunk counts its own two bytes |

    RTP

    | switch | meaning |
    |---|---|
    | extension, marker | see the enumerations |
    | padding, csrc | padding bytes (P) and contributing sources (CC) of every packet |
    | aggregate | small NAL units travel together in STAP-A or AP packets |
    | single_slices | slices that fit a packet are not fragmented |
    | start_codes | NAL units that travel whole keep 00 00 00 01 |
    | packet_size | largest RTP payload in bytes |
    | video_clock | ticks a second of video's time stamps |
    | audio_to_video_port | audio over UDP goes to the PORT that the video's START named |
    | camera_clock_offset | seconds the cameras' clocks are ahead of the recorder's |
    | g726_low_bits_first | G.726's order of bits: RFC 3551's, or the other (AAL2, ITU-T I.366.2) |

    Camera control, and the pace of commands

    | switch | meaning |
    |---|---|
    | control_needs_stream | it is answered 400 unless the camera is live on the UID; otherwise SCREEN=16X is enough |
    | control_interval | seconds between the camera-control commands of a UID, less 5 ms; 0: any |
    | information_interval | seconds between loglist.cgi of one KIND, or recordedtime.cgi, from one address, less 5 ms; 0: any |
    | getinfo_interval | the same for as_getinfo.cgi |

    The clips

    | switch | meaning |
    |---|---|
    | start_at | index of the clip's unit that a video stream begins with |
    """

    sha256: bool = False
    nonce_uses: int | None = None
    nonce_lifetime: float | None = None
    lock_after: int | None = 5
    uid_digits: int = 19
    full_is_busy: bool = False
    challenge_commands: bool = False
    gone_uid_challenges: bool = False
    getinfo_missing: bool = False
    bare_getinfo_empty: bool = False
    stop_needs_internetmode: bool = False

    boundary_with_hyphens: bool = True
    header_case: HeaderCase = HeaderCase.AS_PRINTED
    crlf_after_body: bool = True
    framing: Framing = Framing.CLOSE
    audio_in_video: bool = False
    audio_zero_byte: bool = True
    g711_content_type: str = "audio/g.711"
    jpeg_camera_chunk: bool = True
    jpeg_soi: bool = True
    jpeg_length_counts_itself: bool = True

    extension: Extension = Extension.EACH_PICTURE
    marker: Marker = Marker.LAST_PACKET
    padding: int = 0
    csrc: int = 0
    aggregate: bool = False
    single_slices: bool = False
    start_codes: bool = False
    packet_size: int = 1400
    video_clock: int = 90_000
    audio_to_video_port: bool = False
    camera_clock_offset: float = 0.0
    g726_low_bits_first: bool = True

    control_needs_stream: bool = False
    control_interval: float = 0.2
    information_interval: float = 3.0
    getinfo_interval: float = 0.0

    start_at: int = 0

    playback: PlaybackReadings = PlaybackReadings()  # noqa: RUF009 - frozen
    downloads: DownloadReadings = DownloadReadings()  # noqa: RUF009 - frozen
    lists: ListReadings = ListReadings()  # noqa: RUF009 - frozen
