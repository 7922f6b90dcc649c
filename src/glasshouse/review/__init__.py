"""The web page on which people rate maps blindly, and what their votes come to."""

from .rating import Rating, opened, rating_of
from .results import tallies, write_results
from .tally import Tally, tally
from .votes import Vote, Votes

__all__ = ["Rating", "Tally", "Vote", "Votes", "opened", "rating_of", "tallies", "tally", "write_results"]
