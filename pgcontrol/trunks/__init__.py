"""One file a trunk: what features does an observation have?"""
