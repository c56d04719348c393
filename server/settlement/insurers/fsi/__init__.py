"""The provincial core over HTTP and JSON in the national envelope: a RemoteInsurer."""
