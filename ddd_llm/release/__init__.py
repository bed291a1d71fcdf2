"""Release: registration of the model that passed the gate."""
