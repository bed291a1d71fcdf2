"""Human feedback as a measured instrument: guidelines, labels, agreement, preferences, span feedback. Imports nothing heavy."""
