"""Encoders: models that turn texts and images into vectors. No Ray; an inference library is imported when it is used."""
