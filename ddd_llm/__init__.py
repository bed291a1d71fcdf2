"""Raw documents to a registered, fine-tuned language model, with proof of which bytes made which model."""
