"""Golden logs, disks and downloads, typed by hand from the examples that the specification prints.

``[CR][LF]`` is printed at each line's end; where an example is wrapped without it, the page was too narrow. Lists are
given both ways, for line breaks may stand anywhere between fields.
"""

from __future__ import annotations

from dataclasses import dataclass

# Section 5.1: what each field says, in the order of the example.


@dataclass(frozen=True)
class GoldenEntry:
    number: int
    local_time: str
    summer_time: bool
    kind: str
    zone: str


ERROR_ENTRIES = (
    GoldenEntry(1, "2021/11/14 14:10:00", False, "CAM 3 COMMUNICATION ERROR", "GMT+03:00"),
    GoldenEntry(2, "2021/11/14 14:48:00", False, "CAM 3 COMMUNICATION RECOVERED", "GMT+03:00"),
)
ERROR_LOG = (
    b"FILENAME=as_errorlog.html\r\n"
    b"ERROR_LOG_NO=2\r\n"
    b'ERROR_LOG="001","2021/11/14 14:10:00","0","CAM 3 COMMUNICATION ERROR","GMT+03:00","002"'
    b',"2021/11/14 14:48:00","0","CAM 3 COMMUNICATION RECOVERED","GMT+03:00"\r\n\r\n'
)
ERROR_LOG_WRAPPED = (
    b"FILENAME=as_errorlog.html\r\n"
    b"ERROR_LOG_NO=2\r\n"
    b'ERROR_LOG="001","2021/11/14 14:10:00","0","CAM 3 COMMUNICATION ERROR","GMT+03:00","002"\r\n'
    b',"2021/11/14 14:48:00","0","CAM 3 COMMUNICATION RECOVERED","GMT+03:00"\r\n\r\n'
)

EVENT_ENTRIES = (
    GoldenEntry(1, "2024/04/24 12:30:00", False, "SITE(VMD)-2", "GMT+09:00"),
    GoldenEntry(2, "2024/04/24 11:45:00", False, "SITE(VMD)-1", "GMT+09:00"),
)
EVENT_LOG = (
    b"FILENAME=as_eventlog.html\r\n"
    b"EVENT_LOG_NO=2\r\n"
    b'EVENT_LOG="001","2024/04/24 12:30:00","0","SITE(VMD)-2","GMT+09:00","002","2024/04/24 '
    b'11:45:00","0","SITE(VMD)-1","GMT+09:00"\r\n\r\n'
)
# A space is printed behind the last field; the page's wrap is inside a field, which is no place for a break.
EVENT_LOG_AS_PRINTED = (
    b"FILENAME=as_eventlog.html\r\n"
    b"EVENT_LOG_NO=2\r\n"
    b'EVENT_LOG="001","2024/04/24 12:30:00","0","SITE(VMD)-2","GMT+09:00","002","2024/04/24\r\n'
    b'11:45:00","0","SITE(VMD)-1","GMT+09:00" \r\n\r\n'
)

# Section 5.2.1: Disk, Capacity, Remain capacity, Recorded time range (date, summer time, time; twice).


@dataclass(frozen=True)
class GoldenDisk:
    name: str
    capacity_gb: int | None = None
    remaining_gb: int | None = None
    flags: str = ""
    recorded_from: str | None = None
    recorded_to: str | None = None


DISKS = (
    GoldenDisk("MAIN-1", 4001, 1529, "R", "2021/11/14 13:00:00", "2021/12/24 15:30:12"),
    GoldenDisk("MAIN-2", 4001, 3710),
    GoldenDisk("MAIN-3", 4001, 3710),
    GoldenDisk("MAIN-4", 4001, 3710),
    GoldenDisk("MAIN-5"),
    GoldenDisk("MAIN-9"),
    GoldenDisk("EXT1-1"),
    GoldenDisk("EXT1-2"),
    GoldenDisk("EXT5-8"),
    GoldenDisk("EXT5-9"),
)
# The lines that are printed, without the two that stand for those left out.
DISK_LIST = (
    b"Recording information\r\n\r\n"
    b"Disk,Capacity,Remain capacity,Recorded time range\r\n"
    b"MAIN-1,4001GB(R),1529GB,2021/11/14,0,13:00:00,2021/12/24,0,15:30:12\r\n"
    b"MAIN-2,4001GB,3710GB,,,,,, \r\n"
    b"MAIN-3,4001GB,3710GB,,,,,, \r\n"
    b"MAIN-4,4001GB,3710GB,,,,,, \r\n"
    b"MAIN-5,,,,,,,, \r\n"
    b"MAIN-9,,,,,,,, \r\n"
    b"EXT1-1,,,,,,,, \r\n"
    b"EXT1-2,,,,,,,, \r\n"
    b"EXT5-8,,,,,,,, \r\n"
    b"EXT5-9,,,,,,,, \r\n"
)

# Section 6.3.1: a download that the recorder splits, with the names of the note at its end.

DOWNLOAD_TYPE = "multipart/form-data; boundary=--myboundary"
FIRST_TEMP, FIRST_NAME = "001_231115000000_1000_7f_00_01.tmp", "001_231115000000_1000_7f_00_01.mp4"
SECOND_TEMP, SECOND_NAME = (
    "001_231115000000_2000_7f_00_01.tmp",
    "001_231115000000_2000_7f_00_01.mp4",
)
FIRST_FILE, SECOND_FILE = b"0123456789abcdef", b"\r\n--\x00\xff"
DOWNLOAD = (
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 10\r\n"
    b'X-Temp-FileName: filename = "001_231115000000_1000_7f_00_01.tmp"\r\n'
    b'X-Prev-Filename: filename = ""\r\n'  # "" for the first time
    b"X-RecData-Satus: 0\r\n"
    b"\r\n"
    b"0123456789\r\n"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 6\r\n"
    b'X-Temp-FileName: filename = "001_231115000000_1000_7f_00_01.tmp"\r\n'
    b'X-Prev-Filename: filename = ""\r\n'
    b"X-RecData-Satus: 0\r\n"
    b"\r\n"
    b"abcdef\r\n"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 6\r\n"
    b'X-Temp-FileName: filename = "001_231115000000_2000_7f_00_01.tmp"\r\n'
    b'X-Prev-Filename: filename = "001_231115000000_1000_7f_00_01.mp4"\r\n'
    b"X-RecData-Satus: 0\r\n"
    b"\r\n"
    b"\r\n--\x00\xff\r\n"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 0\r\n"
    b'X-Temp-FileName: filename = ""\r\n'
    b'X-Prev-Filename: filename = "001_231115000000_2000_7f_00_01.mp4"\r\n'
    b"X-RecData-Satus: 0\r\n"
    b"\r\n"
    b"\r\n"
    b"--myboundary--\r\n"
)
# The same in other spellings: no lengths, no quotation marks, later parts of a file without X- headers, no last delimiter.
DOWNLOAD_OTHERWISE = (
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"X-Temp-Filename: filename=001_231115000000_1000_7f_00_01.tmp\r\n"
    b"X-Prev-Filename: filename=\r\n"
    b"X-RecData-Status: 0\r\n"
    b"\r\n"
    b"0123456789\r\n"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"\r\n"
    b"abcdef\r\n"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"X-Temp-Filename: filename=001_231115000000_2000_7f_00_01.tmp\r\n"
    b"X-Prev-Filename: filename=001_231115000000_1000_7f_00_01.mp4\r\n"
    b"X-RecData-Status: 0\r\n"
    b"\r\n"
    b"\r\n--\x00\xff\r\n"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"X-Temp-Filename: filename=\r\n"
    b"X-Prev-Filename: filename=001_231115000000_2000_7f_00_01.mp4\r\n"
    b"X-RecData-Status: 0\r\n"
    b"\r\n"
    b"\r\n"
)
# The names in parts of their own, the data in parts without any; no CRLF behind bodies.
DOWNLOAD_APART = (
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 0\r\n"
    b'X-Temp-FileName: filename = "001_231115000000_1000_7f_00_01.tmp"\r\n'
    b'X-Prev-Filename: filename = ""\r\n'
    b"X-RecData-Satus: 0\r\n"
    b"\r\n"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 16\r\n"
    b"\r\n"
    b"0123456789abcdef"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 0\r\n"
    b'X-Temp-FileName: filename = "001_231115000000_2000_7f_00_01.tmp"\r\n'
    b'X-Prev-Filename: filename = "001_231115000000_1000_7f_00_01.mp4"\r\n'
    b"X-RecData-Satus: 0\r\n"
    b"\r\n"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 6\r\n"
    b"\r\n"
    b"\r\n--\x00\xff"
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 0\r\n"
    b'X-Temp-FileName: filename = ""\r\n'
    b'X-Prev-Filename: filename = "001_231115000000_2000_7f_00_01.mp4"\r\n'
    b"X-RecData-Satus: 0\r\n"
    b"\r\n"
    b"--myboundary--\r\n"
)
# No recorded data during the specified time period.
DOWNLOAD_OF_NOTHING = (
    b"--myboundary\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 0\r\n"
    b'X-Temp-FileName: filename = ""\r\n'
    b'X-Prev-Filename: filename = ""\r\n'
    b"X-RecData-Satus: 1\r\n"
    b"\r\n"
    b"\r\n"
    b"--myboundary--\r\n"
)

# What each command looks like, as its table or example prints it, the values filled in.

COMMANDS = (
    "/cgi-bin/directctrl.cgi?UID=7888&CH=1&PAN=15&TILT=0&ZOOM=0&PC=AS60",  # 4.1.1
    "/cgi-bin/directctrl.cgi?UID=7888&CH=1&PAN=15&TILT=1&ZOOM=2&PC=AS60",
    "/cgi-bin/directctrl.cgi?UID=7888&CH=1&PAN=-256&TILT=256&ZOOM=-4&PC=AS60",  # 4.2.2
    "/cgi-bin/directctrl.cgi?UID=7888&CH=1&PAN=0&TILT=0&ZOOM=0&PC=AS60",
    "/cgi-bin/directctrl.cgi?UID=7888&CH=1&TILT=-16&PC=AS60",  # "can be omitted"
    "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=CENTERING&CTRL=START&X=32&Y=0&PC=AS60",  # 4.2.3
    "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=FOCUS&CTRL=FAR&CTRL=START&PC=AS60",  # 4.2.4
    "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=FOCUS&CTRL=AUTO&CTRL=START&PC=AS60",
    "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=IRIS&CTRL=RESET&CTRL=START&PC=AS60",  # 4.2.5
    "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=PRESETPRG&NO=256&PC=AS60",  # 4.2.6
    "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=PRESET&NO=1&PC=AS60",  # 4.2.7
    "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=AUX8&CTRL=CLOSE&PC=AS60",  # 4.2.8
    "/cgi-bin/loglist.cgi?UID=7888&KIND=ERR&HTML=as_errorlog.html",  # 5.1.1
    "/cgi-bin/loglist.cgi?UID=7888&KIND=EVENT&HTML=as_eventlog.html",  # 5.1.2
    "/cgi-bin/recordedtime.cgi",  # 5.2.1
    "/cgi-bin/httpdl.cgi?UID=7888&STARTTIME=231115000000&ENDTIME=231115010000&KIND=MP4VO&CAM=1&PC=AS60",  # 6.3.1
)
