"""Payloads -> NAL units, pictures and audio, without sockets."""
