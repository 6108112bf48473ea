"""OTP-style supervision for Python, and durable background jobs built on it."""
