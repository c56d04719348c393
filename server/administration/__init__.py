"""The admin API's door: who calls, with which role, what needs which role, and the list of its services."""
