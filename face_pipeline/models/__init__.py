"""Which weight files are used, and how do they become sessions that several threads may call?"""
