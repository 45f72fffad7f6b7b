"""Does a machine compute the same results, at the same speed, for hours?"""
