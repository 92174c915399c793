print("ringway")
