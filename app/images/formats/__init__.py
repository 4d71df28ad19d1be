"""What image files say in their headers, read without decoding them."""
