"""Registry of datasets: shapes, classes, licence, digests and official files of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from robustlib.errors import RobustlibError, suggest


@dataclass(frozen=True)
class OfficialFile:
    """A file its authors publish: where to get it, best mirror first, and its ``algorithm:hex`` checksum.

    ``instead``: another package of the same content, for when no mirror answers.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str
    instead: OfficialFile | None = None


@dataclass(frozen=True)
class Facts:
    """Facts about one dataset, known before it is read; ``shape`` is one row's.

    ``digests``: sha256 of the C-order bytes of the official arrays, as far as known. ``mirror``: digests of
    arrays that are accepted although some rows are not official; its ``exact_*`` masks, which are checked
    like the rest, say which. ``tolerance``: a file beside this one with weighted column means, for data
    whose last float32 digit depends on how they were converted. ``bundled`` datasets need no file.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    n_train: int
    n_test: int
    classes: tuple[str, ...]
    licence: str
    digests: Mapping[str, str]
    files: tuple[OfficialFile, ...] = ()
    mirror: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    dtype: str = "uint8"
    domain: tuple[float, float] = (0.0, 1.0)
    groups: bool = False
    tolerance: str = ""
    bundled: bool = False


_TEN = tuple(str(digit) for digit in range(10))
_IDX = tuple(
    f"{part}-idx{rank}-ubyte.gz"
    for part, rank in (("train-images", 3), ("train-labels", 1), ("t10k-images", 3), ("t10k-labels", 1))
)


def _idx_files(mirrors: tuple[str, ...], checksums: tuple[str, ...]) -> tuple[OfficialFile, ...]:
    return tuple(
        OfficialFile(name, tuple(mirror + name for mirror in mirrors), "sha256:" + checksum)
        for name, checksum in zip(_IDX, checksums, strict=True)
    )


MNIST = Facts(
    name="mnist",
    title="MNIST handwritten digits",
    shape=(1, 28, 28),
    n_train=60_000,
    n_test=10_000,
    classes=_TEN,
    licence="CC BY-SA 3.0",
    digests={
        "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    },
    files=_idx_files(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
)

FASHION_MNIST = Facts(
    name="fashion_mnist",
    title="Fashion-MNIST clothing",
    shape=(1, 28, 28),
    n_train=60_000,
    n_test=10_000,
    classes=(
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    licence="MIT",
    digests={
        "x_train": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "y_train": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "x_test": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "y_test": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    },
    files=_idx_files(
        (
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)

CIFAR10 = Facts(
    name="cifar10",
    title="CIFAR-10 tiny colour images",
    shape=(3, 32, 32),
    n_train=50_000,
    n_test=10_000,
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    licence="none stated (research use)",
    # No digest of the official x_test was available; `test_batch` is that of the official test_batch.bin, which
    # holds the labels and the images of the test set and can be rebuilt from them.
    digests={
        "x_train": "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
        "y_train": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
        "y_test": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
        "test_batch": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    mirror={
        "x_test": "1fe46ff47f5fb6c1b24f0b5448654cac0e0d3e1e0c16f9cbac842307814b553a",
        "exact_test": "a797f4c3c8b21d63f36ba7115b033c0980d5a7310ec5faa0664e9f55e408d0a4",
    },
    files=(
        OfficialFile(
            "cifar-10-binary.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
            "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
)

SVHN = Facts(
    name="svhn",
    title="Street View House Numbers, cropped digits",
    shape=(3, 32, 32),
    n_train=73_257,
    n_test=26_032,
    classes=_TEN,
    licence="none stated (non-commercial use)",
    digests={},  # not known here: a prepared file vouches by the official files it was made from
    files=(
        OfficialFile(
            "train_32x32.mat",
            ("http://ufldl.stanford.edu/housenumbers/train_32x32.mat",),
            "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
        ),
        OfficialFile(
            "test_32x32.mat",
            ("http://ufldl.stanford.edu/housenumbers/test_32x32.mat",),
            "md5:eb5a983be6a315427106f1b164d9cef3",
        ),
    ),
)

HAR = Facts(
    name="har",
    title="UCI human activity recognition from smartphones, 561 features",
    shape=(561,),
    n_train=7_352,
    n_test=2_947,
    classes=("walking", "walking upstairs", "walking downstairs", "sitting", "standing", "laying"),
    licence="CC BY 4.0",
    dtype="float32",
    domain=(-1.0, 1.0),
    groups=True,
    digests={
        "x_train": "972cd9ae30a035a8d977d2cd02ce496ce84642dc7124f13df5705175def8a9a1",
        "y_train": "222085d9d70948d9e252eb43a101307273edc61588c822a004cdcea259285ac9",
        "x_test": "fdfc3f7eca0af130489657bc7ba15cf909dc25e2accce05454c6b42510a6ac05",
        "y_test": "c6c5639491f71f640401d34ac4a15a109a8023b085f463afef7f2e9f6cefe907",
        "subject_train": "2c395e93c9183f14405c7fbca8167fa4cff788d038a352d3d5e426ed1aa58459",
        "subject_test": "f6aca869c2a54b67d93c6bdb2e12b7e3bceaab643d231a52b0ade48423f05dfb",
    },
    files=(
        OfficialFile(
            "UCI HAR Dataset.zip",
            ("https://archive.ics.uci.edu/ml/machine-learning-databases/00240/UCI%20HAR%20Dataset.zip",),
            "sha256:2045e435c955214b38145fb5fa00776c72814f01b203fec405152dac7d5bfeb0",
            instead=OfficialFile(  # the repository's present page packs that zip into another
                "har-repository.zip",
                ("https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+smartphones.zip",),
                "sha256:c00b803081a5c797cd5e4b83700a9810b38d53d9d84e01917e090e1fdbc81031",
            ),
        ),
    ),
    tolerance="har_columns.json",
)

DIGITS = Facts(
    name="digits",
    title="scikit-learn's bundled 8x8 digits",
    shape=(1, 8, 8),
    n_train=1_437,
    n_test=360,
    classes=_TEN,
    licence="CC BY 4.0",
    bundled=True,
    digests={
        "x_train": "db54069be0806db8b2fa4ac45d2bd02d55812d5ff7f3aa5ef55bb980c0aab45c",
        "y_train": "d3ada0ea0397eb1906c26181cd20d130e3bc78a476de0c05aaf9948dd3bd35e1",
        "x_test": "2f448c80299baf782d901d15de4f7ed0998f5dc00318b4a64faac839fcd201c8",
        "y_test": "760a575f1e941852b1d48ff47d39c872e1e5bfd76647b8012c955b63bba32b43",
    },
)

PLANE = Facts(
    name="plane",
    title="20 points of the unit square, generated",
    shape=(2,),
    n_train=20,
    n_test=20,
    classes=("below", "above"),
    licence="of this book",
    bundled=True,
    digests={
        "x_train": "98464106c64e7c6a814f61d35e8a5096eb4966ed7fa93ce4dca8ceed8743b933",
        "y_train": "19dcfc4097c98b8023e24b5275afb1446bf66f76617036a8183fc8f63e8336a7",
        "x_test": "98464106c64e7c6a814f61d35e8a5096eb4966ed7fa93ce4dca8ceed8743b933",
        "y_test": "19dcfc4097c98b8023e24b5275afb1446bf66f76617036a8183fc8f63e8336a7",
    },
)

LENDER = Facts(
    name="lender",
    title="applicants for a loan, generated from a written structural model",
    shape=(8,),
    n_train=6_000,
    n_test=4_000,
    classes=("defaults", "repays"),
    licence="of this book",
    groups=True,
    bundled=True,
    digests={
        "x_train": "0cf652328a991b9452d477b44cec26ab12fc2cc5671a3b843c06ceb4bcf591c7",
        "y_train": "84c98bf948477ce682f7c44dfc47a24f9a512f7a5e0761e623f6f11027eff0f0",
        "subject_train": "19e0e48ccb53ba6dbda216921c978a0cbe1312fd5e9f166023f70d6fb4feb52f",
        "x_test": "c1eb86600053004b3b7c1e82142f98a9ba7f3610f2d35ddeada2ba61077a0b98",
        "y_test": "39aab7b798141553dffd2f26300c2acadee15ef60d3fabcf141b29fefbbccb44",
        "subject_test": "4cbee989b4fa23c8525f4704aa4a7ceb3e74a3baaecb665404af101bd2cac4e4",
    },
)

TOY = Facts(
    name="toy",
    title="Wong & Kolter's twelve points in the plane",
    shape=(2,),
    n_train=12,
    n_test=12,
    classes=("0", "1"),
    licence="none needed (random numbers)",
    dtype="float32",
    bundled=True,
    digests={
        "x_train": "32fbca039bc1864f61f38662751a5ac2b2e163812b853a8bedc5b4f07f14d9a9",
        "y_train": "5751da4322517c9a5aea05b0b610524bf512049da9c993469faf670a2eec4eda",
        "x_test": "32fbca039bc1864f61f38662751a5ac2b2e163812b853a8bedc5b4f07f14d9a9",
        "y_test": "5751da4322517c9a5aea05b0b610524bf512049da9c993469faf670a2eec4eda",
    },
)

REGISTRY: dict[str, Facts] = {
    facts.name: facts for facts in (MNIST, FASHION_MNIST, CIFAR10, SVHN, HAR, DIGITS, TOY, PLANE, LENDER)
}
NAMES: tuple[str, ...] = tuple(REGISTRY)


def facts_of(name: str) -> Facts:
    """The facts of a dataset, or RobustlibError with the nearest name."""
    try:
        return REGISTRY[name]
    except (KeyError, TypeError):
        raise RobustlibError(suggest("dataset", name, REGISTRY)) from None
