def frames(count):
    # Each value that is yielded is a message.
    for number in range(count):
        yield {"number": number, "pixels": [number % 256, number * 7 % 256]}


def work(frame):
    # What is returned is handed on; None hands on nothing, a list each of its items.
    return {"number": frame["number"], "light": sum(frame["pixels"])}
