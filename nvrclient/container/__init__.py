"""What recorder answers are packed in: multipart bodies and playback containers."""
