"""What a speech model says, at whatever pace it comes."""
