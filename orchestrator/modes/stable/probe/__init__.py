"""What runs on a host: its parts, and how they are put into the one program that is sent."""
