"""The OAuth scopes of Gmail that the tools ask for; each tool asks for the least that its methods take.

https://developers.google.com/workspace/gmail/api/auth/scopes. Never gmail.metadata: Google holds a token that has it
to its limits, whatever else the token has, and then no search works ("Metadata scope does not support 'q' parameter").
"""

READ_MAIL = "https://www.googleapis.com/auth/gmail.readonly"
EDIT_LABELS = "https://www.googleapis.com/auth/gmail.labels"  # the labels themselves, and no mail
MODIFY_MAIL = "https://www.googleapis.com/auth/gmail.modify"
COMPOSE_MAIL = "https://www.googleapis.com/auth/gmail.compose"  # sends too: the effect of a tool, not its scope, asks
SEND_MAIL = "https://www.googleapis.com/auth/gmail.send"
