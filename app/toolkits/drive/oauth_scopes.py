"""The OAuth scopes of Google Drive that the tools ask for; each tool asks for the least that its methods take.

https://developers.google.com/workspace/drive/api/guides/api-specific-auth. ``drive.file`` reaches only the files that
this application made, which is all that it takes to make one.
"""

SEE_FILES = "https://www.googleapis.com/auth/drive.metadata.readonly"
READ_FILES = "https://www.googleapis.com/auth/drive.readonly"
OWN_FILES = "https://www.googleapis.com/auth/drive.file"
ALL_FILES = "https://www.googleapis.com/auth/drive"
