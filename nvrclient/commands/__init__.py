"""The recorder's commands: queries out, answers in, and the digest that `dlogin.cgi` asks for."""
