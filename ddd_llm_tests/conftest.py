"""What holds for every test: nothing is asserted on wall time."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
