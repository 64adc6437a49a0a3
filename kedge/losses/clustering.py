"""The online clustering term of Anchor Box Optimization: it pulls anchor shapes to the objects."""

from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.ranks import per_rank


def clustering_loss(pairs: Pairs, share: Tensor) -> Tensor:
    """Half the weighted mean squared distance of the log sizes of anchor and target, a scalar.

    ``share`` (P,) is the weight of every pair. The sum over width and height is divided by the sum
    of the shares. Without pairs it is 0, still connected to the shapes.

    Source: Zhong et al., arXiv:1812.00469, section 3.3, the term that is weighted by lambda.
    """
    distance = pairs.log_residual().square().sum(1)
    return 0.5 * (share * distance).sum() / per_rank(share.sum(), 1e-9)
