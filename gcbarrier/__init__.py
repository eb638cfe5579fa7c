"""What does this write barrier cost, and what pauses does it buy?"""
