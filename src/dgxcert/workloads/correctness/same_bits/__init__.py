"""Do all GPUs of one kind compute the same bits?"""
