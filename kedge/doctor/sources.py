"""Data as a command line names them: see ``kedge.data.sources``."""

from kedge.data.sources import choose_split as choose_split
from kedge.data.sources import read_data as read_data
