"""What starts work by itself: staleness, sensors, schedules, and the one refresh behind `make demo`."""
