"""stub"""


class Clips:
    def __init__(self, *a):
        pass

    def add(self, *a):
        pass

    def poll(self):
        pass

    def close(self):
        pass

    def abandon(self):
        pass
