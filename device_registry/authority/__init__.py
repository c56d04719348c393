"""Certificates and who signs them: the root, the issuing authorities, their keys, and what is in a certificate."""
