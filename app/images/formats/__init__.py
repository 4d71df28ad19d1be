"""Image formats: parsers that read headers and strip metadata without decoding pixels."""
