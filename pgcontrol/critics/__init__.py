"""Critics, one file each: what does the value function predict, and how is its error measured?"""
