"""Encoders: models that turn texts and images into vectors. No Ray; each inference library is imported when used."""
