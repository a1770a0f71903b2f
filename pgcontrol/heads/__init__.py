"""Action heads, one file each: what shape can the action distribution have?"""
