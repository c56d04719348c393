"""Whose terminals are let in: manufacturers, their models and their firmware."""
