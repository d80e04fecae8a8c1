"""The person's Google Drive: finding, reading, making, copying and sharing files."""

from app.toolkits.drive.acting import DriveToolkit
from app.toolkits.drive.oauth_scopes import ALL_FILES, OWN_FILES, READ_FILES, SEE_FILES

__all__ = ["ALL_FILES", "OWN_FILES", "READ_FILES", "SEE_FILES", "DriveToolkit"]
