"""Writes the NPY and NPZ files of this folder with NumPy, the independent reference. Not run by the build."""
import numpy as np

values = np.arange(6).reshape(2, 3)
for dtype in ("?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16", ">i4", ">f8", ">c16"):
    array = values.astype(dtype)
    if array.dtype.kind == "c":
        array = array + array.dtype.type(1j) * (values + 10)
        array = array.astype(dtype)
    np.save("npy_" + dtype.replace("<", "").replace(">", "big_").replace("?", "bool") + ".npy", array)
np.save("npy_fortran.npy", np.asfortranarray(np.arange(24, dtype="<f4").reshape(2, 3, 4)))
np.save("npy_scalar.npy", np.float64(2.5))
np.save("npy_empty.npy", np.zeros((0, 4), "<f4"))
np.save("npy_object.npy", np.array([None, 1], dtype=object))
np.save("npy_text.npy", np.array(["a", "bc"]))
np.savez("stored.npz", x=values.astype("<f4"), y=np.array([1, 0], "<i8"))
np.savez_compressed("deflated.npz", x=np.zeros((100, 10), "<f4"), y=values)
