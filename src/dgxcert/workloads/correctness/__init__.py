"""Does a GPU compute correctly?"""
