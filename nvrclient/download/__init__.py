"""Downloads: files of recordings, as they come or into a folder (specification 6.3)."""

from nvrclient.download.download import Download, IncomingFile, Limits
from nvrclient.download.manifest import StoredFile
from nvrclient.download.store import DownloadProgress, Store

__all__ = ["Download", "DownloadProgress", "IncomingFile", "Limits", "Store", "StoredFile"]
